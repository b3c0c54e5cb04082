<?php
// SPDX-License-Identifier: Apache-2.0

// Answers each request with what PHP reads in it.
$fields = [];
foreach ($_SERVER as $name => $value) {
	if (str_starts_with($name, 'HTTP_')) {
		$fields[strtolower(strtr(substr($name, 5), '_', '-'))] = $value;
	}
}
echo json_encode(['query' => (object) $_GET, 'fields' => $fields], JSON_INVALID_UTF8_SUBSTITUTE);
