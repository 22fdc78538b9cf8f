"""What tasks can be: imports, pictures and clips, exports."""
