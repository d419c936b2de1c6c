"""Tests of questions, access rights, windows and answers, without a plugin process."""
