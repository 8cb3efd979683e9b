package store

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"strings"

	"lifeline"
)

// linkUse names what the key signs in a link to an approval.
const linkUse = "lifeline/approval-link/1"

// SignApproval gives the token of a link with which whoever holds it may decide
// about the approval, and about nothing else: ID.MAC, in letters that stand in
// a URL as they are. It is worth nothing once the approval is decided or ended,
// and nothing for a command other than the approval's.
func (s *Store) SignApproval(a lifeline.Approval) string {
	return a.ID + "." + base64.RawURLEncoding.EncodeToString(s.key.sign(linkUse, a.ID, a.Digest, a.ExpiresAt.UTC().String()))
}

// ApprovalByToken finds the approval that a token of SignApproval is for. A
// token that was not signed here, was changed, or is for an approval that ended
// is an error with lifeline.CodeRefused that does not say which.
func (s *Store) ApprovalByToken(ctx context.Context, token string) (lifeline.Approval, error) {
	no := refused(lifeline.RuleApproval, "lifeline approvals", "this link is not valid, or not any more")
	id, signature, _ := strings.Cut(token, ".")
	mac, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil {
		return lifeline.Approval{}, no
	}
	a, err := approvalByID(ctx, s.db, id)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeNotFound:
		return lifeline.Approval{}, no
	case err != nil:
		return lifeline.Approval{}, wrap("read an approval", err)
	case !hmac.Equal(mac, s.key.sign(linkUse, a.ID, a.Digest, a.ExpiresAt.UTC().String())):
		return lifeline.Approval{}, no
	}
	if now := s.opts.Now(); a.State == lifeline.ApprovalPending && (!now.Before(a.ExpiresAt) || now.Before(a.CreatedAt)) {
		return lifeline.Approval{}, no
	}
	return a, nil
}
