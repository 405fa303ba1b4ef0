"""Facts shipped with keyctl: model names by AAGUID, advisories. Sources are named in each file."""
