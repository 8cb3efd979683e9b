package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

// windowList are maintenance windows in the order in which they begin.
type windowList struct {
	Maintenance []lifeline.Maintenance `json:"maintenance"`
}

// scope is lifeline.MaintenanceScope with what is left out.
type scope struct {
	Host  string `json:"host,omitempty" doc:"a configured host"`
	Kind  string `json:"kind,omitempty" enum:"container,unit,filesystem,host"`
	Name  string `json:"name,omitempty" doc:"the name of the container, unit or mount point"`
	Alert string `json:"alert,omitempty" doc:"the name of an alert"`
	All   bool   `json:"all,omitempty" doc:"everything, on all hosts"`
}

// window is a maintenance window that is to be added.
type window struct {
	Scope  scope     `json:"scope" doc:"what is given must hold, all of it"`
	From   time.Time `json:"from,omitempty" doc:"the beginning; without it, now"`
	Until  time.Time `json:"until" doc:"the end, at most 30 days after the beginning"`
	Reason string    `json:"reason,omitempty" maxLength:"1000"`
}

func (s *server) maintenanceOperations(api huma.API) {
	const tag = "maintenance"
	register(s, api, operation{method: http.MethodGet, path: "/maintenance", id: "list-maintenance", tag: tag, role: lifeline.RoleViewer,
		summary: "The windows that are in force or yet to come"},
		func(ctx context.Context, _ lifeline.Person, in *everything) (*answer[windowList], error) {
			list, err := s.Service.Maintenances(ctx, in.All)
			return with(windowList{list}, err)
		})
	type adding struct{ Body window }
	register(s, api, operation{method: http.MethodPost, path: "/maintenance", id: "add-maintenance", tag: tag, role: lifeline.RoleAdmin, status: http.StatusCreated,
		summary: "Add a window in which people work themselves and Lifeline changes nothing"},
		func(ctx context.Context, who lifeline.Person, in *adding) (*answer[lifeline.Maintenance], error) {
			b := in.Body
			return with(s.Service.AddMaintenance(ctx, who, lifeline.Maintenance{
				Scope: lifeline.MaintenanceScope{Host: b.Scope.Host, Kind: lifeline.TargetKind(b.Scope.Kind), Name: b.Scope.Name, Alert: b.Scope.Alert, All: b.Scope.All},
				From:  b.From, Until: b.Until, Reason: b.Reason,
			}))
		})
	register(s, api, operation{method: http.MethodDelete, path: "/maintenance/{id}", id: "end-maintenance", tag: tag, role: lifeline.RoleAdmin,
		summary: "End a window before its time"},
		func(ctx context.Context, who lifeline.Person, in *named) (*answer[lifeline.Maintenance], error) {
			return with(s.Service.EndMaintenance(ctx, who, in.ID))
		})
}
