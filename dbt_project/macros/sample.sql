{#
    Training reads a fixed sample of a large shop's customers: those in the first buckets. The id
    alone determines a customer's bucket, so a customer is in the sample on all dates, or leaves it
    once, as the shop grows.
#}

{% macro sample_buckets() %}1000000{% endmacro %}

{% macro sample_bucket(customer_id) -%}
    mod(('x' || left(md5({{ customer_id }}), 8))::bit(32)::bigint, {{ sample_buckets() }})::integer
{%- endmacro %}

{% macro is_in_sample(bucket) -%}
    (dates.sample_buckets is null or {{ bucket }} < dates.sample_buckets)
{%- endmacro %}

{# True for a training date of which an earlier run built the customers of the sample only. #}
{% macro lacks_the_others() -%}
    {%- if is_of_all_dates() -%}
    false
    {%- else -%}
    (
        dates.is_training_date and dates.sample_buckets is not null
        and not exists (
            select 1 from {{ this }} where as_of_date = dates.as_of_date and not is_in_sample
        )
    )
    {%- endif -%}
{%- endmacro %}
