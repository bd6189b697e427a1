"""What `generate_profiles.py` signs: test keys, and bodies, forms, queries and documents with a reason each.

The RSA keys are test keys, made for these vectors and published with them: they must never guard anything.
"""

from __future__ import annotations

from typing import Any

from croupier_signing import PrivateKey, SigningKey, read_key

# Test keys, of no worth to anybody.
TEST_RSA_KEY = b"""-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDLdyMOmDR5XdmC
GprX8yD+9HgSv6zXZIXLb0idP8XrKKkJjWwORAJVT7bpRpAM4wI7oJIGmSXmO+2d
x1Bo+M2aDtoCDBaulwglzYUjO04B8MMfD5dowg5HNrEIb0pTa2SV/VBfQ4+Kxlou
3rqD9pHMAavKw4Ofikr5coFdMf1SGeAwgTZaW45jlzieAM3Psi702Nu3rd+VNHEt
xSf4ibsfFRDrwJDqJzPhtqvYk2g6oM/HMVdX/mSAvi7Hp11D6FR6+D167yj8Njow
JNcxEr1o4aj4TkoVSMnS1YO/fE3QbU/ZXh8XSpD2JjeSeOeHyAZDXjxQD98RjOra
uBBAp2tdAgMBAAECggEACg9VlrwkeWJlhbmbsapeFZ0Fbs/hU4kEgH7RFU1OPjFK
zPkcFZx74mHy8O0XOZE5JApCuLwhE+rJ9dohT1S16F8W8luh/MyPj5GYz+7NDZWC
NZVHbtuMFINPaikD1hoM5XRFNrXtcUwbW2PnJEKFtOjZk0iVcnGbrA0No7ZRXcS+
furajdNfCM8HQqZOkMpkundOTkGXunQYFZrRhd/P9ZHRMu9SFgh5L2hk/R1fxtFb
WDudjPs5MJLcQA5Pj+OlDiSEhH2qSBA+a7lrOT4HagrwVe56iYAUsySgNHKpnsdg
oDa+b8FMzT0ZRC2th5JTSVrAkbh58X1p91yfL/QGdQKBgQDu+52pXhJFSdeuZWB8
DsnU7g1GGJffYo88aG+8CNCgRzouE4O7gWVWCf7f3XdULbwrfZPmOkDD3s4/nW3G
vOmTUOJanJakGG4D6JThPN5ZUTdRN7PbJFP4qpEs/jm1JmzX2+o4BVtNdOLwrj3x
DpLko78OEi36IaN3HMce+nbmXwKBgQDZ9BPqrvkvsx3kT7rLi0RZv3pi2zdXfmym
N+XAkv+QPVcm1ZAntCLC2+K+Z5SEArDoUPcucS/hYR+dMQcU8dGfBmjJ2ZCT0RG6
COX5YLyK2fzmDJf5OgNCTMs5aYX0iZV9yiZZHNunKmsv06TTPoTU21HQsJEL/oab
ruJIh0WvwwKBgF8KI54qchuqDSMm3+MWQn/yl8bLmwJUgOAmLGFcJBPJn8KZMidM
g09fNEQ1H/KTKaUmEL5bZkw+/EjiQ7jogf97CDm+0k26BW56fVLB0S82FEixXU6G
OPrIYmnBRJPdDyYdKB1VTAUWufW7ZZjLEfHpiN6ArlYuMIL7J9kTBFwDAoGAZ+08
ugEpDRepvz5NYdVMiEcHgq/pGa1M/Y1V3pe5iPvW3Muk62m30Zar7gLSDIiD9qL0
2o5aOGvpeTjxmYkdXWje+rDlgbaFb2Hi1yDLhqIfN0r2BH8nIqwfk4a/uzUHtW15
D7D1BCbz6WBQDfKXwC+8OXiYEVISuZWQjOkDz6UCgYBo5woR/mstbXU4gUOmgON8
bdIPzR/rtVyncvs0zAgYkZrya9q/Rea3irK/vkPekQrGNyctnhBk5zTYhbABTn5z
hcLEjQhtnS/9HXFUoOogJ5tGbb/j5XX898C4a4hVye38jFDJgbueEQnLlXsWYFVw
oRUilQfnz1h1pPKZgVmDvQ==
-----END PRIVATE KEY-----
"""
TEST_RSA_OLD_KEY = b"""-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQCobDddYwEstiaF
QXYTJ1dxV1GfpEydZLoxebfVur+9CX2DnfVQpU4kAfEPC5pP9H0PW/r0thJqqBMb
O6RGUa6UP6nsbRsO0lJ0tR/d82b5hmRWiTX5b0fNWVww4DuaCjpoMOdjgfrY+RZS
KZvme3wu7IDyQm5tOZXBEvsJXxOn9bMlnDr9fA71Cx1kTcWC3grLOvDCecCo4TH0
Wg09ZBKf5PiBlsYhKF4r4/ew2VEQscrQVVfEEQanbYlmJiZw2eRT+SD2JogKS8m6
CM3pCMyXi8YzRJIGEGeHOFmG1EoyO4/EML67bim+jrK9e+lqrR55/uJL+MR2u3Pl
MpYKm+oNAgMBAAECggEAD14wfxj1lnrYcPhUKdNBK1poXETFqOb0Bmew2pO7wygG
h+f15nHu+2Ih+Nl6LymD787Yy1OBwrGrbKS4jKIPZ/+XJbee7G9MjtGoIrx+/O3C
YhMLFcONrbMlsmADkD62raMoue+2T+4Kl1ysmQ9TeYSjD3f4U4cZnxB4T5aZWI3w
8GmEGseqiqr3DFVG2sCw/7rH7JAJ9iQdkSIazFukJfPfJJiIqo8mpBcksB0e2VAS
8uvbTNPelujhLIHdwci+bjf1/FB64bIuh9g+kvMwWIsK5lsLiKnkj6Ivq9ZOce1T
4sh6E5UsAAt8UkkNq3DLDKEzt5IIW3VYNWbnoJn3AQKBgQDTWZoc1SA08LKi/Z/+
ljVXOsSBQYWfXRv+R2tveVTgUqGjsNbNpqgg4GOj3R4zQP+5S8EeFgEQe3yMVfRC
0QLfybpGSyBvNQZx7MBkLznt2r5weM9V7VmdWkaa8ynUZam5i8jmu9ZVbLlifJeg
yiklWBqANT4R2SFkdZi3yaOpXQKBgQDMAPydt4XrYh6Gwp6SWnEPVF4ieZeNxGdg
UKYvjgPfhqBwBa0UmayJ3tw/pyG7arYqu5jsw9hVmmmJP1OGqEtzNC6T72nKp9jw
oVPISItuwnqmqe+WsZFoVWj0meq/a9SKsyrYrkmXenBEiJTU2W6iFTW0w27Xtdg7
1xEBYOxIcQKBgQDMiFcDdiGf+hv2bloqp7ThQOcwa3dj/Vh84SMQkyvXl0AESLvn
81Ob1Wu4BeIXGd0gtjYi5oqLJ+YlbX1gOCN+7RtOsZ+m33roP4UEr0txaxKHh/Km
pnbmN5pCk/Y0LVpuTN/Uo41NyFU0AX0/xsTA9h1XW69A2I9fSArOOd4fpQKBgQCT
p+cwFKR2sWcc7QKvNYz9pngYBeAe+VhFizot02GUSTIYwtL6xRvwEoFiBQtSRrOh
jHTscfhERWY7s702CtvJf6xy4Oe2ifRofqxQm8loGpWByiAi91Uiqic0W69ga6DD
31iUytlzLWjTAfSPdu0vnaBovMeek/z1mv2w/MEo0QKBgQDSJz4iZyYgPJV1XIR2
A8FILxP1ADxm+ItWJFvzpMmaalQH7+A6Ly5TURdc1BT7LsDWQR+65+GfU7gnFH/r
91A425GXd8Yx81YDepOyEsyw3DfuSxjPOv7Fpov21Ix2XzwfWEv+A/zC9jpOVnRS
uhlAEoL9QSFbF9bUwZ5jmOB/qQ==
-----END PRIVATE KEY-----
"""

KEY = SigningKey("provider-1", b"provider-1: a test secret")
OLD = SigningKey(
    "provider-0", bytes(range(0xF0, 0x100)) + b"\x00 an old one, longer than a block of SHA-256: 64"
)
OTHER = SigningKey("stranger", b"stranger: also a test secret")


def _pair(key_id: str, pem: bytes) -> PrivateKey:
    key = read_key(key_id, pem)
    if not isinstance(key, PrivateKey):
        raise TypeError(key_id)
    return key


RSA_PAIR = _pair("pair-1", TEST_RSA_KEY)
RSA_OLD_PAIR = _pair("pair-0", TEST_RSA_OLD_KEY)

HEADERS = {
    "X-Merchant-Id": "b7c6a5d4e3f2",
    "X-Timestamp": "1750000000",
    "X-Nonce": "0123456789abcdef0123456789abcdef",
}
GROOVE_TEXT = {"leave_out": ["request"], "order_as": {"nogsgameid": "gameid"}}

BODIES: dict[str, dict[str, str]] = {
    "empty body": {"text": ""},
    "compact JSON": {"text": '{"amount":"12.50","currency":"EUR"}'},
    "JSON with other key order": {"text": '{"currency":"EUR","amount":"12.50"}'},
    "JSON with spaces": {"text": '{"amount": "12.50", "currency": "EUR"}'},
    "JSON with a newline at the end": {"text": '{"amount":"12.50","currency":"EUR"}\n'},
    "repeated JSON key": {"text": '{"amount":"12.50","amount":"1.00"}'},
    "number with a fraction": {"text": '{"amount":12.50}'},
    "number without trailing zero": {"text": '{"amount":12.5}'},
    "number with an exponent": {"text": '{"amount":1.25e1}'},
    "negative zero": {"text": '{"n":-0.0}'},
    "number beyond double precision": {"text": '{"n":9007199254740993}'},
    "text in NFC": {"text": '{"name":"caf\u00e9"}'},
    "text in NFD": {"text": '{"name":"cafe\u0301"}'},
    "text escaped": {"text": '{"name":"caf\\u00e9"}'},
    "astral character": {"text": '{"name":"\U0001f3b0"}'},
    "byte order mark": {"text": '\ufeff{"n":1}'},
    "bytes that are not UTF-8": {"base64": "/8Cv7aCAgA=="},
    "a NUL byte": {"base64": "AA=="},
}
BODY = BODIES["compact JSON"]
CHANGED_BODY = {"text": '{"amount":"12.51","currency":"EUR"}'}

FORMS: dict[str, str] = {
    "no fields, headers alone": "",
    "one field": "action=balance",
    "fields sorted, header names before lower case": "session_id=s&action=bet&amount=1.0000&Z=1&_=2&a=3",
    "a prefix sorts first": "player_id=1&player=2&player-id=3&player.id=4",
    "empty value and bare name": "round_id=&finished",
    "empty parts are dropped": "&&b=1&&a=2&",
    "split at the first equals sign": "a=b=c&token==",
    "plus and %20 are one space": "note=a+b&other=a%20b",
    "plus itself": "note=a%2Bb",
    "tilde is escaped, dash, dot and underscore are not": "note=~-._%7E",
    "reserved characters": "note=%21%22%23%24%25%26%27%28%29%2A%2C%2F%3A%3B%3C%3D%3E%3F%40%5C%5E%60%7B%7C%7D",
    "escapes in lower case": "note=caf%c3%a9",
    "text in NFC": "note=caf%C3%A9",
    "text in NFD": "note=cafe%CC%81",
    "astral character": "note=%F0%9F%8E%B0",
    "raw UTF-8": "note=caf\u00c3\u00a9",
    "NUL and newline": "note=%00%0A%0D",
    "name with a space": "player+name=1",
    "name outside ASCII sorts bytewise": "%C3%A9=1&z=2&Z=3&%F0%9F%98%80=4&%EF%AC%B3=5",
    "name that only begins with a digit": "1st=a&2nd=b",
    "nested array": (
        "transaction_id=t9&rollback_transactions%5B0%5D%5Baction%5D=bet&rollback_transactions%5B0%5D%5Bamount%5D"
        "=1.0000&rollback_transactions%5B1%5D%5Baction%5D=win&action=rollback"
    ),
    "nested brackets sent raw": "a[0][b]=1&a[0][c]=2",
    "nested keys keep the order sent": "a%5Bz%5D=1&a%5B10%5D=2&a%5B9%5D=3&a%5BA%5D=4",
    "nested parts apart are brought together": "a%5B0%5D=1&b=2&a%5B1%5D=3",
    "nested arrays interleaved are each written in one piece": "a[0][x]=1&a[1][x]=2&b=3&a[0][y]=4",
    "nested key with a space and a plus": "a%5Bb+c%5D=1&a%5Bb%2Bc%5D=2",
    "ten elements are not sorted as text": "&".join(f"a%5B{n}%5D={n}" for n in range(11)),
    "lower-case header name is a field": "x-nonce=1",
}
BAD_FORMS: dict[str, str] = {
    "name twice": "amount=1&amount=2",
    "name twice in different spelling": "amount=1&%61mount=2",
    "percent at the end": "a=100%",
    "percent and no hex digits": "a=%zz",
    "escape split by an ampersand": "a=%2&0=1",
    "bytes that are not UTF-8": "a=%FF",
    "half a surrogate pair": "a=%ED%A0%80",
    "overlong slash": "a=%C0%AF",
    "empty name": "=1",
    "array without indices": "a%5B%5D=1",
    "bracket left open": "a%5Bb=1",
    "bracket closed twice": "a%5Bb%5D%5D=1",
    "text after a bracket": "a%5B0%5Db=1",
    "no name before the bracket": "%5B0%5D=1",
    "text and array": "a=1&a%5B0%5D=2",
    "nested text and array": "a%5B0%5D=1&a%5B0%5D%5Bb%5D=2",
    "number as a name": "10=a",
    "number with an exponent as a name": "1e1=a",
    "number with a space as a name": "+7=a",
    "number as the name of an array": "0%5Ba%5D=1",
    "header name as a field": "X-Nonce=1",
    "header name as an array": "X-Nonce%5B0%5D=1",
}
QUERIES: dict[str, str] = {
    "no query": "",
    "one parameter": "sessionID=7eaac66f751db1fdd74b",
    "two parameters": "sessionID=7eaac66f751db1fdd74b&city=M%C3%BCnchen+1",
    "sorted by name": "b=1&a=2&C=3",
    "every value is a text": "n=1&t=true&z=null",
    "bare name": "flag",
    "empty parts are dropped": "&&b=1&",
    "split at the first equals sign": "a=b=c",
    "plus and %20 are one space": "a=x+y&b=x%20y",
    "plus itself": "a=x%2By",
    "escapes in lower case": "a=caf%c3%a9",
    "text in NFC": "a=caf%C3%A9",
    "text in NFD": "a=cafe%CC%81",
    "quotes, backslash and slash": "a=%22%5C%2F",
    "control characters": "a=%00%08%09%0A%0C%0D%1F%7F",
    "line separators stay raw": "a=%E2%80%A8%E2%80%A9",
    "sorted by UTF-16, not by code point": "%EF%AC%B3=dalet&%F0%9F%98%80=smile&%E2%82%AC=euro",
    "a prefix sorts first": "aa=1&a=2&a-=3",
    "names of an object's machinery": "__proto__=1&constructor=2&10=3&9=4",
}
BAD_QUERIES: dict[str, str] = {
    "name twice": "a=1&a=2",
    "name twice in different spelling": "a=1&%61=2",
    "percent at the end": "a=100%",
    "percent and one digit": "a=%4",
    "bytes that are not UTF-8": "a=%FF",
    "half a surrogate pair": "a=%ED%A0%80",
    "empty name": "=1",
    "257 parameters": "&".join(f"p{n}=" for n in range(257)),
}
VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("", {}),
    "values by name": ("device=desktop&accountid=111&apiversion=1.2", {}),
    "request left out": ("request=getaccount&accountid=111&device=desktop", GROOVE_TEXT),
    "nogsgameid sorts as gameid": (
        "request=getbalance&nogsgameid=80102&accountid=111&gamesessionid=s1&device=desktop",
        GROOVE_TEXT,
    ),
    "the same without that rule": (
        "request=getbalance&nogsgameid=80102&accountid=111&gamesessionid=s1&device=desktop",
        {"leave_out": ["request"]},
    ),
    "two left out": (
        "request=wagerAndResult&betamount=10.0&result=2&accountid=111",
        {"leave_out": ["betamount"]},
    ),
    "left out by the decoded name": ("%72equest=x&a=1", GROOVE_TEXT),
    "capitals before small letters": ("frbid=1&frbId=2", {}),
    "values are decoded": ("a=x+y%2Bz%26&b=caf%C3%A9", {}),
    "empty values": ("rollbackamount=&a=&transactionid=t1", {}),
    "UTF-8 order of names": ("%EF%AC%B3=dalet&%F0%9F%98%80=smile", {}),
    "moved between values: the signature does not see it": ("a=11&b=1", {}),
    "moved between values: the same signature": ("a=1&b=11", {}),
    "renamed: the same signature": ("c=1&d=11", {}),
}
BAD_VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "name twice": ("a=1&a=2", {}),
    "two names sorted as one": ("gameid=1&nogsgameid=2", GROOVE_TEXT),
    "percent at the end": ("a=100%", {}),
    "bytes that are not UTF-8": ("a=%FF", {}),
}
# JSON texts without a repeated name; a case's `signed` is their canonical form.
DOCUMENTS: dict[str, str] = {
    "RFC 8785, section 3.2.2": (
        '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}'
    ),
    "RFC 8785, section 3.2.3": (
        '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",'
        '"\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control","\\u00f6":"Latin Small Letter O With Diaeresis"}'
    ),
    "RFC 8785, appendix B": (
        "[0,-0.0,5e-324,-5e-324,1.7976931348623157e308,9007199254740992.0,-9007199254740992.0,295147905179352830000.0,"
        "9.999999999999997e22,1e23,1.0000000000000001e23,999999999999999700000.0,999999999999999900000.0,1e21,"
        "9.999999999999997e-7,0.000001,333333333.3333332,333333333.33333325,333333333.3333333,333333333.3333334,"
        "333333333.33333343,-0.0000033333333333333333,1424953923781206.2]"
    ),
    "a bet": (
        '{"type":"regular","sessionID":"s-1","amount":"12.50","txID":"7a3c","roundID":"r-9","rate":100.50,'
        '"note":"\\u20ac 5"}'
    ),
    "white space goes": ' { "b" : [ 1 , 2 ] , "a" : { } } ',
    "trailing zero of a fraction": '{"amount":100.50}',
    "integer written as a fraction": '{"amount":100.0}',
    "names at every level": '{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":[]}',
    "NFC and NFD are two names": '{"e\\u0301":1,"\\u00e9":2}',
    "empty name and empty text": '{"":""}',
    "name that a number of an object sorts before": '{"b":1,"10":2,"9":3,"__proto__":4}',
    "largest safe integers": "[9007199254740991,-9007199254740991]",
    "literals alone": "null",
}
