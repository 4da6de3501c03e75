# TOML from an attribute set, as text at evaluation: a build could not be looked at by the project's own tests.
{ lib }:
let
  bare = name: builtins.match "[A-Za-z0-9_-]+" name != null;
  # A JSON string is a TOML string, but for DEL.
  text = value: builtins.replaceStrings [ (builtins.fromJSON ''"\u007f"'') ] [ "\\u007f" ] (builtins.toJSON value);
  key = name: if bare name then name else text name;
  dotted = path: lib.concatStringsSep "." (map key path);

  isTable = builtins.isAttrs;
  isTables = value: builtins.isList value && value != [ ] && lib.all isTable value;

  inline =
    path: value:
    if builtins.isString value then
      text value
    else if builtins.isBool value || builtins.isInt value || builtins.isFloat value then
      builtins.toJSON value
    else if builtins.isList value then
      "[${lib.concatMapStringsSep ", " (inline path) value}]"
    else if isTable value then
      "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList (pair path) value)} }"
    else
      # A path would be copied into the store with what is in it; write it as text, in quotes.
      throw (
        "ccci.host.settings: `${dotted path}` is a ${builtins.typeOf value};"
        + " write texts, numbers, truths, lists or sets"
      );
  pair =
    path: name: value:
    "${key name} = ${inline (path ++ [ name ]) value}";

  table =
    path: value:
    let
      known = lib.filterAttrs (_: each: each != null) value;
      plain = lib.filterAttrs (_: each: !isTable each && !isTables each) known;
      tables = lib.filterAttrs (_: isTable) known;
      lists = lib.filterAttrs (_: isTables) known;
    in
    lib.mapAttrsToList (name: each: "${pair path name each}\n") plain
    ++ lib.concatLists (lib.mapAttrsToList (name: section "[" "]" (path ++ [ name ])) tables)
    ++ lib.concatLists (
      lib.mapAttrsToList (name: lib.concatMap (section "[[" "]]" (path ++ [ name ]))) lists
    );

  section =
    before: after: path: value:
    [ "\n${before}${dotted path}${after}\n" ] ++ table path value;
  head = "# Written by the host's configuration, ccci.host.settings.\n";
in
{
  render = value: lib.concatStrings ([ head ] ++ table [ ] value);
}
