"""Qencode's API v1, translated: queries and what they ask for, without HTTP and without media."""
