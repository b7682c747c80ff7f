-- One row per question of this version of the code, offered at this shop or not.
with

newest as (

    select distinct on (question) *
    from {{ source('ops', 'publications') }}
    order by question asc, as_of_date desc

),

compared as (

    select distinct on (question)
        question,
        scored_date,
        judged_model_trust

    from {{ ref('model_health') }}
    order by question asc, scored_date desc, horizon_days asc, judged_model_trust asc

)

select
    offers.question,
    offers.kind,
    offers.description,
    offers.is_offered,
    offers.why_not_offered,
    newest.as_of_date,
    newest.published_at,
    newest.model_name,
    newest.model_version,
    newest.training_date,
    compared.scored_date as compared_date,
    compared.judged_model_trust as track_record

from {{ source('ops', 'offers') }} as offers
left join newest using (question)
left join compared using (question)
