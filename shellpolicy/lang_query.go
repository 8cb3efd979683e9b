package shellpolicy

import (
	"fmt"
	"regexp"
	"strings"
)

// jqForbidden is what a jq filter may not use: the environment, further files,
// and what runs for ever. A field of that name (.env) is no use of it.
var jqForbidden = regexp.MustCompile(`(?:\A|[^.\w"$])(env|import|include|input_filename|repeat|until|while|infinite|recurse_down|def|limit\(infinite|getpath\(\[?"?env)\b|\$ENV|\$__prog`)

func jqFilter(_ *call, a arg) string {
	if a.shape != exact {
		return "a jq filter that is known only when it runs is not judged: write it out"
	}
	for _, at := range jqForbidden.FindAllStringIndex(a.text, -1) {
		m := a.text[at[0]:at[1]]
		if strings.HasSuffix(m, "env") && !strings.HasSuffix(m, "$env") && strings.HasPrefix(strings.TrimLeft(a.text[at[1]:], " "), ":") {
			continue // the name of a field in {env: …}
		}
		return fmt.Sprintf("the jq filter uses %q, which reads the environment or another file, or does not end", strings.TrimSpace(m))
	}
	return ""
}

// sqlForbidden are the words that make more of a query than a look.
var sqlForbidden = regexp.MustCompile(`(?i)\b(?:insert|update|delete|drop|alter|create|truncate|grant|revoke|into|outfile|dumpfile|load_file|copy|call|do|execute|exec|prepare|set|lock|for|vacuum|reindex|cluster|refresh|nextval|setval|pg_[a-z_]*(?:terminate|cancel|reload|rotate|read|ls_|file|advisory|promote|switch|sleep|authid|shadow|stat_reset|export|import|backup|wal_replay|create|drop|start|stop|logical|notify|user_mapping)[a-z_]*|lo_[a-z]+|dblink[a-z_]*|query_to_xml[a-z_]*|current_setting|set_config|xp_[a-z]+|sleep|benchmark|get_lock|mysql\.user|authentication_string|password|passwd|attach|pragma|load_extension|writefile|readfile|edit|with)\b|\\|--|/\*|#|` + "`" + `|"\s*\(`)

var sqlCall = regexp.MustCompile(`(?i)([a-z_][a-z0-9_.]*)\s*\(`)

var sqlKnown = regexp.MustCompile(`(?i)\A(?:count|sum|max|min|avg|now|round|coalesce|nullif|greatest|least|extract|age|date_trunc|length|lower|upper|left|right|substr|substring|concat|version|in|values|and|or|where|select|from|on|as|not|exists|pg_size_pretty|pg_database_size|pg_total_relation_size|pg_relation_size|pg_table_size|pg_indexes_size|pg_is_in_recovery|pg_current_wal_lsn|pg_last_xact_replay_timestamp|pg_wal_lsn_diff|pg_postmaster_start_time|pg_backend_pid|pg_blocking_pids|current_database|current_user|cast|to_char|timestampdiff|unix_timestamp|database|user|if|ifnull|interval)\z`)

var sqlStart = regexp.MustCompile(`(?is)\A\s*(?:select\s|show\s|explain\s+select\s|describe\s|desc\s|table\s+pg_stat)`)

// sqlSystem are tables about the server itself.
var sqlSystem = regexp.MustCompile(`(?i)\b(?:from|join)\s+(?:pg_stat[a-z_]*|pg_locks|pg_database|pg_class|pg_settings|pg_tables|pg_indexes|pg_replication_slots|pg_extension|information_schema\.[a-z_]+|performance_schema\.[a-z_]+|sys\.[a-z_]+)\b`)

var sqlFrom = regexp.MustCompile(`(?i)\b(?:from|join)\s`)

// sqlQuery accepts one plain SELECT or SHOW of known functions. Tables that are
// not about the server itself hold other people's data: the mark sensitive.
func sqlQuery(c *call, a arg) string {
	if a.shape != exact {
		return "a query that is known only when it runs is not judged: write it out"
	}
	q := strings.TrimSuffix(strings.TrimSpace(a.text), ";")
	if psqlMeta.MatchString(q) {
		return ""
	}
	switch m := sqlForbidden.FindString(q); {
	case !sqlStart.MatchString(q) || strings.Contains(q, ";"):
		return fmt.Sprintf("%q is not one plain SELECT or SHOW", clip(q))
	case m != "":
		return fmt.Sprintf("the query uses %q: only plain SELECT and SHOW of listed functions are let through", m)
	}
	for _, m := range sqlCall.FindAllStringSubmatch(q, -1) {
		if !sqlKnown.MatchString(m[1]) {
			return fmt.Sprintf("the function %q is not known", m[1])
		}
	}
	if len(sqlFrom.FindAllString(q, -1)) > len(sqlSystem.FindAllString(q, -1)) || strings.Contains(q, ",") && sqlFrom.MatchString(q) && !sqlSystem.MatchString(q) {
		c.effects[string(Sensitive)] = true
	}
	return ""
}

// psqlMeta are psql's own listings.
var psqlMeta = regexp.MustCompile(`\A\\(?:l|l\+|dt|dt\+|di|di\+|dn|dx|conninfo|d [a-z_.]+)\z`)
