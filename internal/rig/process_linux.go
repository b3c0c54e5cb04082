// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os/exec"
	"syscall"
)

// endWithTest has a process killed when the thread of the test that starts it has ended.
func endWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
