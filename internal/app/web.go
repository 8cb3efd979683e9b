package app

import (
	"context"
	"net/http"

	"lifeline"
	"lifeline/internal/web"
)

// mountPages puts the pages onto the mux: that of a signed link, which is open to
// whoever holds the link, and with a service all others, behind require.
//
// service is what the pages stand on, personOf says who asks, and require lets a
// request pass whose person has the role. With a service, the other two are
// needed.
func (a *App) mountPages(mux *http.ServeMux, service web.Service, personOf func(context.Context) (lifeline.Person, bool),
	require func(lifeline.Role, http.Handler) http.Handler) (*web.Pages, error) {
	pages, err := web.Handler(web.Config{Desk: desk{a}, Service: service, PersonOf: personOf, Logger: a.log})
	if err != nil {
		return nil, err
	}
	mux.Handle("/approve/", pages)
	mux.Handle("/static/", pages)
	if service != nil {
		mux.Handle("/", require(lifeline.RoleViewer, pages))
	}
	return pages, nil
}
