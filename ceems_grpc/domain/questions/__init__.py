"""What can be asked, and the checks that every question passes."""
