// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "os/exec"

// endWithTest does nothing: this system cannot end a process with the one that has started it.
func endWithTest(*exec.Cmd) {}
