package notify

import "strings"

// dressed gives a message the form in which a service shows every letter of it as
// it is: services that read markup would otherwise hide or change parts of a
// command that somebody decides about, and show a link of an alert's text as
// something else.
func dressed(service string, m Message) (title, text string) {
	plain := func(s string) string { return s }
	show, code := plain, plain
	switch service {
	case "discord", "mattermost", "rocketchat", "zulip", "teams":
		show, code = markdown, fence
	case "slack", "googlechat", "hangouts":
		show, code = entities, func(s string) string { return fence(entities(s)) }
	}
	parts := []string{show(calm(m.Body))}
	if m.Code != "" {
		parts = append(parts, code(calm(m.Code)))
	}
	if m.Foot != "" {
		parts = append(parts, m.Foot) // our own: commands and a link that has to work
	}
	return show(calm(m.Title)), strings.TrimLeft(strings.Join(parts, "\n\n"), "\n")
}

// markdown takes the meaning from the characters that have one.
func markdown(s string) string {
	return strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "~", "\\~", "|", "\\|",
		"[", "\\[", "]", "\\]", "<", "\\<", ">", "\\>", "#", "\\#").Replace(s)
}

// entities is what Slack and Google Chat want to have written differently; with
// it no text can be a link or a mention.
func entities(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// fence is a block that the text cannot end.
func fence(s string) string {
	return "```\n" + strings.ReplaceAll(s, "```", "`\\x60`") + "\n```"
}

// calm spells out what would call everybody in a room.
func calm(s string) string {
	for _, name := range []string{"everyone", "here", "channel", "all", "room"} {
		s = strings.ReplaceAll(s, "@"+name, `\u{40}`+name)
	}
	return s
}
