-- One row per as_of_date and customer_id that ordered again within 90 days, once they are over:
-- the first day with an order in [as_of_date, as_of_date + 90 days).
{%- set is_over = "known_on_date <= " ~ as_of_date() %}
with

dates as (

    select
        dates.as_of_date,
        dates.sample_buckets,
        dates.as_of_date + 90 as known_on_date

    from {{ ref('int_snapshot_dates') }} as dates
    where dates.is_grid_date

),

due_dates as (

    select * from dates
    where {{ is_due(is_over, 'known_on_date') }}

),

next_days as (

    select
        dates.as_of_date,
        dates.known_on_date,
        seen.customer_id,
        seen.day_date,
        seen.gross_spend_amount

    from due_dates as dates
    inner join {{ ref('int_customer_days') }} as seen
        on
            {{ is_next_order_day('seen', 'dates.as_of_date') }}
            and dates.known_on_date > seen.day_date
            and {{ is_in_sample('seen.sample_bucket') }}

),

of_families as (

    select
        next_days.as_of_date,
        next_days.customer_id,
        array_agg(distinct named.product_family) as families

    from next_days
    inner join {{ ref('fct_order_items') }} as items
        on next_days.customer_id = items.customer_id and next_days.day_date = items.ordered_date
    inner join {{ ref('product_families') }} as named
        on next_days.as_of_date = named.as_of_date and items.product_id = named.product_id
    group by next_days.as_of_date, next_days.customer_id

)

select
    next_days.as_of_date,
    next_days.customer_id,
    next_days.known_on_date,
    (next_days.day_date - next_days.as_of_date)::integer as days_to_order,
    next_days.gross_spend_amount::numeric(24, 8) as order_day_amount,
    coalesce(of_families.families, '{}'::text[]) as next_families

from next_days
left join of_families
    on
        next_days.as_of_date = of_families.as_of_date
        and next_days.customer_id = of_families.customer_id
