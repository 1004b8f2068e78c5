# What the port freezes, which boots the board and mounts its files.
include("$(PORT_DIR)/boards/manifest.py")

module("app.py")

# Packages of micropython-lib: require("aiohttp")
