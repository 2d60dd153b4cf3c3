"""The weight files, as data beside their manifest. README.md says where each comes from."""
