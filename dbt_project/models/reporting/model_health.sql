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

select
    judged.as_of_date,
    judged.question,
    judged.scored_date,
    judged.horizon_days,
    judged.metric,
    judged.slice,
    judged.value,
    judged.standard_error,
    judged.count_judged,
    judged.value_of_others,
    judged.backtest_value,
    judged.backtest_spread,
    judged.backtest_limit,
    judged.is_worse,
    judged.judged_model_name,
    judged.judged_model_version,
    judged.judged_model_trust,
    judged.score_status,
    judged.score_reason,
    judged.model_name,
    judged.model_version,
    judged.run_id,
    judged.publication_id,
    judged.scored_at

from judged
inner join newest using (question, horizon_days, scored_date, as_of_date)
