// SPDX-License-Identifier: Apache-2.0

// Package house holds the project against its own rules: how large a file, a function and a type
// may be, how wide a comment is, and which package may import which. It has tests only.
package house
