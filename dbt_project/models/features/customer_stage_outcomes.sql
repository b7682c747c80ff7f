-- One row per as_of_date and customer_id: the stage 90 days later, once they are over.
{%- set is_over = "known_on_date <= " ~ as_of_date() %}
with

dates as (

    select
        dates.as_of_date,
        dates.as_of_date + 90 as known_on_date

    from {{ ref('int_snapshot_dates') }} as dates
    where dates.is_grid_date

),

due_dates as (

    select * from dates
    where {{ is_due(is_over, 'known_on_date') }}

)

select
    due_dates.as_of_date,
    customers.customer_id,
    due_dates.known_on_date,
    spells.stage as stage_after

from due_dates
inner join {{ ref('customer_stages') }} as customers using (as_of_date)
inner join {{ ref('int_customer_stages') }} as spells
    on
        customers.customer_id = spells.customer_id
        and due_dates.known_on_date >= spells.from_date
        and due_dates.known_on_date < coalesce(spells.until_date, 'infinity'::date)
