# Regular expressions as in jq's manual, and null for null.
def    test(re; flags): if . == null then . else matches(re; flags) | any end;
def   match(re; flags): if . == null then . else matches(re; flags)[] | .[0] + {captures: .[1:]} end;
def groups_by_name: map(select(.name) | {(.name): .string}) | add + {};
def capture(re; flags): if . == null then . else matches(re; flags)[] | groups_by_name end;
def scan(re; flags):
  if . == null then empty
  else matches(re; flags + "g")[] | [.[].string] | if .[1:] == [] then .[0] else .[1:] end end;
def  split(re; flags): if . == null then . else split_(re; flags + "g") end;
def splits(re; flags): if . == null then empty else split(re; flags)[] end;
def sub(re; f; flags):
  def handle: if isarray then groups_by_name | f end;
  if . == null then .
  else reduce split_matches(re; flags)[] as $x (""; . + ($x | handle)) end;
def gsub(re; f; flags): sub(re; f; flags + "g");
def    test(re):    test(re; "");
def   match(re):   match(re; "");
def capture(re): capture(re; "");
def    scan(re):    scan(re; "");
def  splits(re):  splits(re; "");
def  sub(re; f):  sub(re; f; "");
def gsub(re; f): gsub(re; f; "");

def unix_time: unix_time("s");
def utc($zone): utc($zone; "compatible");
def base64_decode: base64_decode("utf-8");
def hex_decode: hex_decode("utf-8");
