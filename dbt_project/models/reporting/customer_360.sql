-- One row per customer known on the newest date that every question shown here has published.
-- A question that is not offered at this shop, or was never published, is not waited for. What is
-- known of a customer is of the same date: nothing of that day or later.
{%- set questions = questions_in_customer_360() %}
with

in_force as (

    select
        publications.question,
        publications.as_of_date,
        publications.publication_id

    from {{ source('ops', 'publications') }} as publications
    inner join {{ source('ops', 'offers') }} as offers using (question)
    where
        offers.is_offered
        and publications.question in ({{ quoted_names(questions) }})

),

newest_date as (

    select dates.as_of_date
    from in_force as dates
    group by dates.as_of_date
    having count(*) = (select count(distinct every.question) from in_force as every)
    order by dates.as_of_date desc
    limit 1

),
{%- for one in questions %}

{{ one.table }} as (

    select *
    from {{ source('scores', one.table) }}
    where (as_of_date, publication_id) = (
        select
            published.as_of_date,
            published.publication_id

        from in_force as published
        inner join newest_date using (as_of_date)
        where published.question = '{{ one.question }}'
    )

),
{%- endfor %}

snapshots as (

    select * from {{ ref('customer_snapshots') }}
    where as_of_date = (select as_of_date from newest_date)

)

select
    {{- columns_of_customer_360({
        'as_of_date': 'snapshots.as_of_date',
        'customer_id': 'snapshots.customer_id',
        'country': 'snapshots.country',
        'first_order_date': 'snapshots.as_of_date - snapshots.days_since_first_order',
        'last_order_date': 'snapshots.as_of_date - snapshots.days_since_last_order',
        'days_since_last_order': 'snapshots.days_since_last_order',
        'count_orders': 'snapshots.count_orders',
        'count_orders_365d': 'snapshots.count_orders_365d',
        'net_spend_amount': 'snapshots.net_spend_amount::numeric(18, 2)',
        'net_spend_amount_365d': 'snapshots.net_spend_amount_365d::numeric(18, 2)',
        'refund_amount': 'snapshots.refund_amount::numeric(18, 2)',
        'avg_order_amount': 'snapshots.avg_order_amount::numeric(18, 2)',
        'avg_days_between_orders': 'snapshots.avg_days_between_orders'
    }) }}

from snapshots
{%- for one in questions %}
left join {{ one.table }} using (as_of_date, customer_id)
{%- endfor %}
