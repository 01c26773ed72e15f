"""Chance and keys from a seed, so that a fuzz run can be had again.  Never for anything that must be secret.

To be called before anything of the sandbox is imported, for it takes what makes keys by name.
"""

import base64
import secrets
from functools import partial
from itertools import cycle
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PRIME_BITS = 1024
PUBLIC_EXPONENT = 65537
KEYS = 3  # an own one, another and a foreign one; making one takes a second
SMALL = [n for n in range(3, 2000) if all(n % d for d in range(2, int(n**0.5) + 1))]


def seed_all(seed: int) -> None:
    """From here on `secrets`, RSA and elliptic keys come from the seed.  RSA keys come round after the third."""
    chance = Random(f"{seed}:secrets")
    secrets.token_bytes = lambda count=32: chance.randbytes(count)
    secrets.token_hex = lambda count=32: chance.randbytes(count).hex()
    secrets.token_urlsafe = lambda count=32: base64.urlsafe_b64encode(chance.randbytes(count)).rstrip(b"=").decode()
    secrets.choice, secrets.randbelow, secrets.randbits = chance.choice, chance.randrange, chance.getrandbits
    keys = cycle([rsa_key(Random(f"{seed}:rsa:{at}")) for at in range(KEYS)])
    rsa.generate_private_key = lambda **_: next(keys)
    ec.generate_private_key = partial(elliptic_key, chance)
    x509.random_serial_number = lambda: chance.getrandbits(150) + 1


def elliptic_key(chance: Random, curve: ec.EllipticCurve, _backend: object = None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(chance.getrandbits(curve.key_size - 8) + 1, curve)


def rsa_key(chance: Random) -> rsa.RSAPrivateKey:
    p, q = (prime(chance) for _ in range(2))
    d = pow(PUBLIC_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, p * q)
    rest = {"dmp1": rsa.rsa_crt_dmp1(d, p), "dmq1": rsa.rsa_crt_dmq1(d, q), "iqmp": rsa.rsa_crt_iqmp(p, q)}
    return rsa.RSAPrivateNumbers(p=p, q=q, d=d, **rest, public_numbers=public).private_key()


def prime(chance: Random) -> int:
    """Of just so many bits, and fit for the public exponent."""
    while True:
        found = chance.getrandbits(PRIME_BITS) | 3 << PRIME_BITS - 2 | 1
        if all(found % small for small in SMALL) and (found - 1) % PUBLIC_EXPONENT and is_prime(found, chance):
            return found


def is_prime(number: int, chance: Random) -> bool:
    """Miller and Rabin's test, often enough."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(is_passed(number, odd, twos, chance.randrange(2, number - 1)) for _ in range(12))


def is_passed(number: int, odd: int, twos: int, base: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
