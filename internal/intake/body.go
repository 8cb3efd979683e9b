package intake

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"
)

// readJSON reads a request's body, unpacked, and begins to read it as JSON. The
// body is at most maxBytes on its way and at most maxBytes unpacked.
func readJSON(w http.ResponseWriter, r *http.Request, maxBytes int64) (*jsonReader, error) {
	if err := checkContentType(r); err != nil {
		return nil, err
	}
	packed, err := isPacked(w, r)
	if err != nil {
		return nil, err
	}
	if r.ContentLength > maxBytes {
		return nil, tooLarge(maxBytes, "The body has")
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxBytes)
	if packed {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, unreadable(err, maxBytes)
		}
		body = z
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	switch {
	case err != nil:
		return nil, unreadable(err, maxBytes)
	case int64(len(data)) > maxBytes:
		return nil, tooLarge(maxBytes, "Unpacked, the body has")
	}
	return newJSONReader(bytes.TrimPrefix(data, []byte("\ufeff")))
}

// checkContentType takes JSON, and a body of which nothing is said: some senders
// say nothing.
func checkContentType(r *http.Request) error {
	const next = "Send JSON with Content-Type: application/json."
	given := r.Header.Values("Content-Type")
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(given[0])
	if err != nil || len(given) > 1 {
		return unsupported("content-type", "The Content-Type "+shown(strings.Join(given, ", "))+" cannot be read.", next)
	}
	if kind != "application/json" && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return unsupported("content-type", "The body is "+shown(kind)+", which this webhook does not read.", next)
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") && !strings.EqualFold(set, "us-ascii") {
		return unsupported("content-type", "The body is in the character set "+shown(set)+".", "Send JSON in UTF-8.")
	}
	return nil
}

// isPacked reports whether the body is packed with gzip, the only packing that
// is read.
func isPacked(w http.ResponseWriter, r *http.Request) (bool, error) {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ",")))
	switch encoding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	}
	w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 12.5.3: what to try instead
	return false, unsupported("content-encoding", "The body is packed with "+shown(encoding)+".", "Send it as it is, or packed with gzip.")
}

// unreadable says why a body could not be read to its end.
func unreadable(err error, maxBytes int64) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(maxBytes, "The body has")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem{Name: "timeout", Title: "The message came too slowly", Status: http.StatusRequestTimeout,
			Detail: "The body did not arrive in time.", Next: "Send it again."}
	}
	return malformed(fmt.Sprintf("The body cannot be read: %v.", err), "Send it again; if that does not help, send it without Content-Encoding.")
}

// newJSONReader checks the form of the whole text before anything is taken
// from it.
func newJSONReader(data []byte) (*jsonReader, error) {
	j := &jsonReader{data: data}
	if at := invalidUTF8(data); at >= 0 {
		return nil, j.problemAt(at, "", fmt.Sprintf("The byte 0x%02x is not UTF-8 text.", data[at]), "Send JSON in UTF-8.")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, malformed("The body is empty.", nextAlertmanager)
	}
	if err := j.checkSyntax(); err != nil {
		return nil, err
	}
	j.begin()
	return j, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
