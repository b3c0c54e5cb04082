// SPDX-License-Identifier: Apache-2.0

// Package wire is about how URLs, queries and header fields are written, and how servers read
// them: the joining of a request's URL to a base URL, paths that leave it, queries that are edited
// as text, and the names of parameters and header fields in all spellings that mean the same.
//
// It knows no request, no answer and no credential.
package wire
