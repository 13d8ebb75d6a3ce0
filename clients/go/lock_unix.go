//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package scotoma

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes an exclusive flock(2) on a results file, which goes when the file is closed, or the process ends however it does.
func lock(file *os.File) error {
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errors.New("another run is writing to it; wait until it has ended, or take another file")
	default:
		return fmt.Errorf("it cannot be locked against a second run (%w); a file of another file system can", err)
	}
}
