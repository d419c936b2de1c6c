"""The program for one platform: PyInstaller's build, the launcher, the licences."""
