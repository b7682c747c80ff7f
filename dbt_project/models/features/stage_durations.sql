-- One row per as_of_date, stage and duration_days: how many customers stayed so long, and how many
-- were still in the stage on the date.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

stays as (

    select
        dates.as_of_date,
        spells.stage,
        (least(spells.until_date, dates.as_of_date) - spells.from_date)::integer as duration_days,
        coalesce(spells.until_date <= dates.as_of_date, false) as is_over

    from dates
    inner join {{ ref('int_customer_stages') }} as spells on dates.as_of_date > spells.from_date

)

select
    as_of_date,
    stage,
    duration_days,
    (count(*) filter (where is_over))::integer as count_left,
    (count(*) filter (where not is_over))::integer as count_staying

from stays
group by as_of_date, stage, duration_days
