-- Who was asked, since two providers may serve a model under one name, and where the tokens of an answer were not counted.

alter table helix.api_calls
    add column provider text,
    add column usage_estimated boolean not null default false;
