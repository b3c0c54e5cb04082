// SPDX-License-Identifier: Apache-2.0

//go:build !race

package connection

// manyUsers is how many users there are where that takes no time worth speaking of.
const manyUsers = 1_000_000
