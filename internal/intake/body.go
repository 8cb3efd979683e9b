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
	"slices"
	"strings"
	"unicode/utf8"
)

// kind is what a body is made of.
type kind string

const (
	kindJSON      kind = "JSON"
	kindForm      kind = "a form"           // application/x-www-form-urlencoded
	kindMultipart kind = "a multipart form" // multipart/form-data
	kindText      kind = "plain text"       // said to be text; read as JSON
)

// format is what one source reads.
type format struct {
	kinds []kind
	// hint tells what a message of the source should look like.
	hint string
}

// body is a request's body, unpacked.
type body struct {
	kind kind
	data []byte
	// boundary of a multipart form.
	boundary string
}

// readBody reads a request's body. It is at most maxBytes on its way and at
// most maxBytes unpacked.
func readBody(w http.ResponseWriter, r *http.Request, maxBytes int64, f format) (body, error) {
	b, err := f.contentType(r)
	if err != nil {
		return b, err
	}
	packed, err := isPacked(w, r)
	if err != nil {
		return b, err
	}
	if r.ContentLength > maxBytes {
		return b, tooLarge(maxBytes, "The body has")
	}
	var stream io.Reader = http.MaxBytesReader(w, r.Body, maxBytes)
	if packed {
		z, err := gzip.NewReader(stream)
		if err != nil {
			return b, unreadable(err, maxBytes)
		}
		stream = z
	}
	data, err := io.ReadAll(io.LimitReader(stream, maxBytes+1))
	switch {
	case err != nil:
		return b, unreadable(err, maxBytes)
	case int64(len(data)) > maxBytes:
		return b, tooLarge(maxBytes, "Unpacked, the body has")
	}
	b.data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// Without a word about what it sends, curl says that it is a form; so do
	// senders whose body is a template.
	if (b.kind == kindForm || b.kind == kindText) && looksLikeJSON(b.data) {
		b.kind = kindJSON
	}
	if b.kind == kindText {
		return b, unsupported("content-type", "The body is plain text, and no JSON.", f.want())
	}
	return b, nil
}

// looksLikeJSON reports whether a text begins as an object or a list does.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}

// readJSON reads a request's body and begins to read it as JSON.
func readJSON(w http.ResponseWriter, r *http.Request, maxBytes int64, hint string) (*jsonReader, error) {
	b, err := readBody(w, r, maxBytes, format{kinds: []kind{kindJSON}, hint: hint})
	if err != nil {
		return nil, err
	}
	return newJSONReader(b.data, hint)
}

// want tells which content types the source reads.
func (f format) want() string {
	const json = "Send JSON with Content-Type: application/json"
	switch {
	case slices.Contains(f.kinds, kindMultipart):
		return json + ", or a form."
	default:
		return json + "."
	}
}

// contentType finds what a body is made of. One of which nothing is said is
// taken for JSON: some senders say nothing.
func (f format) contentType(r *http.Request) (body, error) {
	given := r.Header.Values("Content-Type")
	if len(given) == 0 || len(given) == 1 && given[0] == "" {
		return body{kind: kindJSON}, nil
	}
	media, params, err := mime.ParseMediaType(given[0])
	if err != nil || len(given) > 1 {
		return body{}, unsupported("content-type", "The Content-Type "+shown(strings.Join(given, ", "))+" cannot be read.", f.want())
	}
	b := body{boundary: params["boundary"]}
	switch {
	case media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		b.kind = kindJSON
	case media == "application/x-www-form-urlencoded":
		b.kind = kindForm
	case media == "multipart/form-data":
		b.kind = kindMultipart
	case media == "text/plain":
		b.kind = kindText
	}
	if !slices.Contains(f.kinds, b.kind) {
		return b, unsupported("content-type", "The body is "+shown(media)+", which this webhook does not read.", f.want())
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") && !strings.EqualFold(set, "us-ascii") {
		return b, unsupported("content-type", "The body is in the character set "+shown(set)+".", "Send it in UTF-8.")
	}
	return b, nil
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
func newJSONReader(data []byte, hint string) (*jsonReader, error) {
	j := &jsonReader{data: data, hint: hint}
	if at := invalidUTF8(data); at >= 0 {
		return nil, j.problemAt(at, "", fmt.Sprintf("The byte 0x%02x is not UTF-8 text.", data[at]), "Send JSON in UTF-8.")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, malformed("The body is empty.", hint)
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
