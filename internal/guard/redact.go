package guard

import (
	"lifeline"
	"lifeline/internal/redact"
	"lifeline/sshpool"
)

// redactOutput takes the secrets out of what the host said. Beginning and end
// are looked at by themselves: a secret that the cut between them went through
// is not to be seen on either side.
func redactOutput(cmd *lifeline.Command, result *sshpool.Result, r *redact.Redactor) {
	clean := func(o sshpool.Output) []byte {
		var n int
		o.Head, o.Tail, n = r.Output(o.Head, o.Tail, o.Truncated())
		cmd.Redacted += n
		return o.Bytes()
	}
	cmd.Stdout, cmd.Stderr = clean(result.Stdout), clean(result.Stderr)
	var n int
	cmd.Error, n = r.Text(cmd.Error) // may repeat what the host's server said
	cmd.Redacted += n
}
