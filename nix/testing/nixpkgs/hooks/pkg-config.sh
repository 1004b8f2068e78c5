# pkg-config knows what was declared, and nothing of the host's.
_pkg_config_paths() { addToSearchPath PKG_CONFIG_PATH "$1/lib/pkgconfig"; addToSearchPath PKG_CONFIG_PATH "$1/share/pkgconfig"; }
addEnvHooks "$targetOffset" _pkg_config_paths
export PKG_CONFIG_LIBDIR=/nonexistent
