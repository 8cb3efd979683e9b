package shellpolicy

// Policy says how much one host allows. The zero Policy denies everything and
// still says what class a command has.
type Policy struct {
	Mode      Mode
	Rules     []Rule
	Protected Protected
}

// Rule is an owner's decision about one program. The first rule that matches a
// command decides about it: it can narrow everything, and widen only what is
// neither destructive nor unknown.
//
// A rule matches commands that begin with Args: sub-command and operands, in
// order, wherever flags stand between them. A rule that narrows also matches a
// command that names the operands among others; a rule that widens does not.
type Rule struct {
	// Program is the program's name, as in "docker".
	Program string
	// Args is how the command goes on, as in "restart", "web". Empty: every
	// command of the program.
	Args     []string
	Decision Decision
	// Reason is shown with the verdict.
	Reason string
}

// Protected lists what no change may touch, besides what is built in: the SSH
// server, the network, the firewall, and Lifeline itself.
type Protected struct {
	Units, Containers []string
}
