"""Files under the home folder: locked, written atomically, never readable by others."""
