package app

import (
	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/triage"
)

// triageConfig is the configuration in triage's terms.
func triageConfig(cfg *config.Config) triage.Config {
	t, tr := cfg.Targets, cfg.Triage
	c := triage.Config{
		Hosts: cfg.HostNames(), HostLabels: t.HostLabels, HostMap: cfg.TargetHosts(),
		ContainerLabels: t.ContainerLabels, UnitLabels: t.UnitLabels, MountLabels: t.MountLabels,
		Damping: lifeline.Damping{
			StormAfter: tr.Storm.After, StormWindow: tr.Storm.Window.D(),
			FlapAfter: tr.Flapping.After, FlapWindow: tr.Flapping.Window.D(),
		},
	}
	for _, r := range tr.Routes {
		c.Routes = append(c.Routes, triage.Route{
			Match:     triage.Match{Alert: r.Match.Alert, Source: r.Match.Source, Labels: r.Match.Labels},
			KeyLabels: r.KeyLabels,
			Target:    triage.RouteTarget{Host: r.Target.Host, Container: r.Target.Container, Unit: r.Target.Unit, Mount: r.Target.Mount},
			Ignore:    r.Ignore,
		})
	}
	return c
}
