-- Of each question and horizon the newest scored date that was judged, as judged last.
with

judged as (

    select * from {{ ref('model_health_history') }}

),

newest as (

    select distinct on (question, horizon_days)
        question,
        horizon_days,
        scored_date,
        as_of_date

    from judged
    order by question asc, horizon_days asc, scored_date desc, as_of_date desc

)

select judged.*

from judged
inner join newest using (question, horizon_days, scored_date, as_of_date)
