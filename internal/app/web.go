package app

import (
	"net/http"

	"lifeline/internal/access"
	"lifeline/internal/web"
)

// mountPages serves the page of a signed link to whoever holds the link, and all
// other pages to whoever is signed in.
func (a *App) mountPages(open, signedIn *http.ServeMux) (*web.Pages, error) {
	pages, err := web.Handler(web.Config{Desk: desk{a}, Service: a.service, PersonOf: access.PersonOf, Logger: a.log})
	if err != nil {
		return nil, err
	}
	open.Handle("/approve/", pages)
	open.Handle("/static/", pages)
	signedIn.Handle("/", pages)
	return pages, nil
}
