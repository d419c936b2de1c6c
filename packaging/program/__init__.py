"""Builds the program for one platform: PyInstaller's build, the launcher and the licences."""
