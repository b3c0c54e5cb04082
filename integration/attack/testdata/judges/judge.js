// SPDX-License-Identifier: Apache-2.0

// Answers each request with what a parser of JavaScript's reads in it. The first segment of the path names the parser.
'use strict';

const { createServer } = require('node:http');
const { createRequire } = require('node:module');
const querystring = require('node:querystring');
const modules = createRequire(process.argv[2] + '/');

// An application of Express: how it is set up, and what its own request has read.
function application(express, parser) {
	const app = express();
	if (parser !== undefined) app.set('query parser', parser);
	app.use((req, res) => res.json({ query: req.query, fields: req.headers }));
	return app;
}

// A parser of a query as text.
function reader(parse) {
	return (req, res) => {
		const at = req.url.indexOf('?');
		res.end(JSON.stringify({ query: at < 0 ? {} : parse(req.url.slice(at + 1)), fields: req.headers }));
	};
}

const express = modules('express');
const judges = {
	express5: application(express),
	'express5-extended': application(express, 'extended'),
	express4: application(modules('express4')),
	querystring: reader(querystring.parse),
	urlsearchparams: reader((text) => {
		const all = {};
		for (const [name, value] of new URLSearchParams(text)) (Object.hasOwn(all, name) ? all[name] : (all[name] = [])).push(value);
		return all;
	}),
};

createServer((req, res) => judges[req.url.split(/[/?]/)[1]](req, res)).listen(0, '127.0.0.1', function () {
	console.log('127.0.0.1:' + this.address().port);
});
