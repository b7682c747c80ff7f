-- One row per day, from the first of January before the first order to the end of the year after
-- the newest.
with

bounds as (

    select
        date_trunc('year', min(ordered_date))::date as first_day,
        (date_trunc('year', max(ordered_date)) + interval '2 years - 1 day')::date as last_day

    from {{ ref('fct_orders') }}

),

days as (

    select generate_series(first_day, last_day, interval '1 day')::date as date_day
    from bounds

)

select
    date_day,
    date_trunc('week', date_day)::date as week_start_date,
    date_trunc('month', date_day)::date as month_start_date,
    extract(year from date_day)::integer as year,
    extract(quarter from date_day)::integer as quarter,
    extract(week from date_day)::integer as iso_week,
    extract(isodow from date_day)::integer as day_of_week,
    extract(isodow from date_day) >= 6 as is_weekend

from days
