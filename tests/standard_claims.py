"""A person of whom everything is known that OpenID Connect Core 5.1 has a claim for."""

from typing import Any

EVERY_CLAIM: dict[str, Any] = {
    "name": "Augusta Ada King",
    "name#ja-Kana-JP": "エイダ",
    "family_name": "King",
    "given_name": "Augusta",
    "middle_name": "Ada",
    "nickname": "ada",
    "preferred_username": "countess",
    "profile": "https://ada.example/about",
    "picture": "https://ada.example/ada.png",
    "website": "https://ada.example/",
    "gender": "female",
    "birthdate": "1815-12-10",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
    "email_verified": True,
    "address": {
        "formatted": "12 St James's Square\nLondon SW1Y 4JH\nUnited Kingdom",
        "street_address": "12 St James's Square",
        "locality": "London",
        "region": "Greater London",
        "postal_code": "SW1Y 4JH",
        "country": "United Kingdom",
    },
    "phone_number": "+44 20 7946 0000;ext=7",
    "phone_number_verified": True,
}
