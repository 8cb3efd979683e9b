package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// The environment variables that hold the key of a model, by its provider.
const (
	EnvModelKey  = "ANTHROPIC_API_KEY"
	EnvOpenAIKey = "OPENAI_API_KEY"
)

// The providers of models.
const (
	Anthropic = "anthropic"
	OpenAI    = "openai"
)

// ModelAccess is one configured model with all that is needed to ask it.
type ModelAccess struct {
	// Provider is Anthropic or OpenAI.
	Provider, Name, BaseURL string
	// Key is a secret; "" where the address needs none.
	Key            string
	MaxTokens      int
	RequestTimeout time.Duration
}

// String keeps the key out of whatever prints it.
func (a ModelAccess) String() string { return a.Provider + " model " + a.Name }

// GoString is String.
func (a ModelAccess) GoString() string { return a.String() }

// MarshalText is String, for encoders.
func (a ModelAccess) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Models are the models that can be asked: the first, then model.second if it is
// set. There is none where the first needs a key and has none; a second one
// without its key is an error, since somebody counts on it.
func (c *Config) Models() ([]ModelAccess, error) {
	m, s := c.Model, c.Model.Second
	key, err := c.ModelKey()
	if err != nil || key == "" && !m.needsNoKey() {
		return nil, err
	}
	list := []ModelAccess{{m.Provider, m.Name, m.BaseURL, key, m.MaxTokens, m.RequestTimeout.D()}}
	if s.Name == "" {
		return list, nil
	}
	second := c.second()
	if key, err = c.SecondModelKey(); err != nil {
		return nil, err
	}
	if key == "" && !second.needsNoKey() {
		return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "model.second is set, but there is no key for it",
			Hint: "set " + envKey(second.Provider) + " or model.second.api_key_file, or leave out model.second"}
	}
	return append(list, ModelAccess{second.Provider, second.Name, second.BaseURL, key, s.MaxTokens, s.RequestTimeout.D()}), nil
}

// ModelKeyHint says how the first model gets its key.
func (c *Config) ModelKeyHint() string {
	return "set " + envKey(c.Model.Provider) + " or model.api_key_file"
}

// second is model.second with what it takes from the first.
func (c *Config) second() Model {
	s := c.Model.Second
	return Model{Provider: cmp.Or(s.Provider, c.Model.Provider), Name: s.Name, BaseURL: s.BaseURL, APIKeyFile: s.APIKeyFile}
}

// needsNoKey: models on one's own machines are asked without.
func (m Model) needsNoKey() bool { return m.Provider == OpenAI && m.BaseURL != "" }

func envKey(provider string) string {
	if provider == OpenAI {
		return EnvOpenAIKey
	}
	return EnvModelKey
}

// ModelKey is the key for the first model: from model.api_key_file if that is
// set, otherwise from the provider's variable. "" means that there is none.
func (c *Config) ModelKey() (string, error) { return c.keyOf("model", c.Model) }

// SecondModelKey is ModelKey for model.second.
func (c *Config) SecondModelKey() (string, error) {
	if c.Model.Second.Name == "" {
		return "", nil
	}
	return c.keyOf("model.second", c.second())
}

func (c *Config) keyOf(field string, m Model) (string, error) {
	if m.APIKeyFile != "" {
		return c.secretFile(field+".api_key_file", m.APIKeyFile)
	}
	return strings.TrimSpace(os.Getenv(envKey(m.Provider))), nil
}

func (v *validator) model() {
	m, s := v.cfg.Model, v.cfg.Model.Second
	if m.Name == "" {
		v.complain("model.name", "want the name of a model, such as "+Default().Model.Name, "")
	} else if m.Provider == OpenAI && m.Name == Default().Model.Name {
		v.complain("model.name", "want the name of a model as the provider knows it", "for a model of Ollama: model: {provider: openai, base_url: http://127.0.0.1:11434/v1, name: qwen3:14b}")
	}
	v.modelURL("model.base_url", m.BaseURL)
	v.modelURL("model.second.base_url", s.BaseURL)
	switch {
	case s.Name == "" && (s.Provider != "" || s.BaseURL != "" || s.APIKeyFile != ""):
		v.complain("model.second.name", "want the name of the second model", "")
	case s.Name != "" && s.Name == m.Name:
		v.complain("model.second.name", "the second model is the first: want another one", "")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Prices)) {
		p := m.Prices[name]
		for _, price := range []struct {
			key string
			usd float64
		}{{"input", p.Input}, {"output", p.Output}, {"cache_read", p.CacheRead}, {"cache_write", p.CacheWrite}} {
			v.dollars("model.prices."+name+"."+price.key, price.usd)
		}
	}
	v.dollars("model.budget.incident_usd", m.Budget.IncidentUSD)
	v.dollars("model.budget.day_usd", m.Budget.DayUSD)
}

func (v *validator) dollars(field string, usd float64) {
	if math.IsNaN(usd) || usd < 0 || usd > 1e6 {
		v.complain(field, fmt.Sprintf("want US dollars from 0 to 1000000, got %v", usd), "")
	}
}

// modelURL refuses an address that is none, and one to which keys and outputs of
// hosts would travel readably through other people's networks.
func (v *validator) modelURL(field, raw string) {
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		v.complain(field, "want a URL such as https://gateway.example.net", "")
		return
	}
	if u.Scheme == "http" && !ownNetwork(u.Hostname()) {
		v.complain(field, "http:// to "+u.Hostname()+" would show the key and what hosts say to everybody on the way", "write https://, or the private address of a machine of yours")
	}
}

// ownNetwork reports whether a host can only be on a network of one's own: a
// loopback or private address, a name without a domain such as a compose
// service's, or one under a domain that is not on the internet.
func ownNetwork(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		carrier := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598, which overlay networks use
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || carrier.Contains(addr)
	}
	if !strings.Contains(host, ".") {
		return host != "" && !strings.Contains(host, ":")
	}
	return slices.ContainsFunc([]string{".localhost", ".local", ".internal", ".home.arpa", ".lan"}, func(d string) bool { return strings.HasSuffix(host, d) })
}
