package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
)

// maxFields bounds the fields of a form.
const maxFields = 200

// field is one field of a form.
type field struct{ name, value string }

// fields reads a form. A name that stands twice is a problem, since another
// reader could take the other value; so is a file.
func (b body) fields(hint string) (fields []field, err error) {
	if b.kind == kindMultipart {
		fields, err = b.multipart(hint)
	} else {
		fields, err = parseQuery(string(bytes.TrimSpace(b.data)), hint)
	}
	if err == nil && len(fields) == 0 {
		err = malformed("The form has no fields.", hint)
	}
	return fields, err
}

func (b body) multipart(hint string) ([]field, error) {
	if b.boundary == "" {
		return nil, unsupported("content-type", "The Content-Type of the multipart form has no boundary.", "Let the sender's program make the form; curl does with -F name=value.")
	}
	var fields []field
	parts := multipart.NewReader(bytes.NewReader(b.data), b.boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
		}
		if err != nil {
			return nil, malformed(fmt.Sprintf("The multipart form cannot be read: %v.", err), hint)
		}
		if part.FileName() != "" {
			return nil, malformed("The field "+shown(part.FormName())+" is a file.", "Send it as a field without a file name; curl does with -F 'name=<FILE'.")
		}
		value, err := io.ReadAll(part) // no more than the body that is in memory already
		if err != nil {
			return nil, malformed(fmt.Sprintf("The multipart form cannot be read: %v.", err), hint)
		}
		if fields, err = addField(fields, part.FormName(), string(value)); err != nil {
			return nil, err
		}
	}
}

// parseQuery reads name=value&name=value.
func parseQuery(query, hint string) ([]field, error) {
	var fields []field
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, malformed(fmt.Sprintf("The form cannot be read: %v.", err), hint)
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, malformed(fmt.Sprintf("The form cannot be read: %v.", err), "Let curl do the escaping: --data-urlencode.")
		}
		if fields, err = addField(fields, name, value); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func addField(fields []field, name, value string) ([]field, error) {
	switch {
	case name == "":
		return nil, malformed("A field of the form has no name.", "Write name=value.")
	case len(fields) == maxFields:
		return nil, malformed(fmt.Sprintf("The form has more than %d fields.", maxFields), "Send fewer.")
	case invalidUTF8([]byte(name)) >= 0 || invalidUTF8([]byte(value)) >= 0:
		return nil, malformed("The field "+shown(name)+" is not UTF-8 text.", "Send it in UTF-8.")
	}
	for _, f := range fields {
		if f.name == name {
			return nil, malformed("The field "+shown(name)+" stands twice in the form.", "Send each field once.")
		}
	}
	return append(fields, field{name, value}), nil
}

// asJSON is a form as an object of texts.
func asJSON(fields []field) []byte {
	all := make(map[string]string, len(fields))
	for _, f := range fields {
		all[f.name] = f.value
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic("intake: texts that were checked cannot be encoded: " + err.Error())
	}
	return data
}
