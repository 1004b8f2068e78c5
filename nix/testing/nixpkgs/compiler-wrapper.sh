#!@bash@
# The compiler as nixpkgs wraps it: with flags that harden, and what the inputs offer.
before=()
for flag in ${NIX_HARDENING_ENABLE-@hardening@}; do
    case $flag in
    fortify) before+=(-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) ;;
    stackprotector) before+=(-fstack-protector-strong --param ssp-buffer-size=4) ;;
    stackclashprotection) before+=(-fstack-clash-protection) ;;
    pic) before+=(-fPIC) ;;
    strictoverflow) before+=(-fno-strict-overflow) ;;
    format) before+=(-Wformat -Wformat-security -Werror=format-security) ;;
    zerocallusedregs) before+=(-fzero-call-used-regs=used-gpr) ;;
    relro) before+=(-Wl,-z,relro) ;;
    bindnow) before+=(-Wl,-z,now) ;;
    esac
done
after=()
for flag in ${NIX_LDFLAGS-}; do after+=("-Wl,$flag"); done
exec @real@ "${before[@]}" "$@" ${NIX_CFLAGS_COMPILE-} "${after[@]}"
