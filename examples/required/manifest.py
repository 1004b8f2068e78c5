# What the port freezes, which boots the board and mounts its files.
include("$(PORT_DIR)/boards/manifest.py")

# A package of micropython-lib.
require("aiohttp")

# A module that lies beside this file.
module("clock.py")
