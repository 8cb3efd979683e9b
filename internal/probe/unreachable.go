package probe

import (
	"errors"
	"syscall"
)

// unreachable reports that the way to the host is what is wrong, or this machine.
func unreachable(err error) bool {
	for _, cause := range []error{syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
