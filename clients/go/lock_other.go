//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package scotoma

import "os"

// lock does nothing: there is no flock(2) here.
func lock(*os.File) error { return nil }
