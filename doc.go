// Package xaproxy is the root of a MySQL-speaking proxy that gives an
// application ACID transactions over many MySQL and MariaDB servers.
//
// The top level is the X/Open DTP model: proxy is the application's side (AP),
// tm the transaction manager (TM), xa the resource managers (RM). This package
// itself holds no code; its test, deps_test.go, keeps the walls between the
// rooms: every package is listed there with what it may import.
package xaproxy
