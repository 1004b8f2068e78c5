# A native module for one architecture and one .mpy version.
{ lib, buildNativeModules, messages }:
given:
let
  it = if builtins.isAttrs given then given else messages.fail "buildNativeModule was given ${messages.show given}, expected an attribute set of arguments" [ ];
  one = name: many:
    if it ? ${many} then messages.fail "buildNativeModule has no argument ${many}" [ "give ${name}, or call buildNativeModules" ]
    else lib.optionalAttrs (it ? ${name}) { ${many} = [ it.${name} ]; };
in
if !it ? arch then messages.fail "buildNativeModule needs the argument arch: a string" [ "for example arch = \"armv6m\"" ]
else buildNativeModules (removeAttrs it [ "arch" "mpyVersion" ] // one "arch" "archs" // one "mpyVersion" "mpyVersions")
