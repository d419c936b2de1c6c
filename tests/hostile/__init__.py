"""Tests of hostile input: files, settings, requests and logins that are made to cause harm."""
